"""The only writer of checklist rows: states, approvals, waivers, attachments, and an event for everything that happens.

Each function is one transaction. Whoever changes an item names the version of it that they saw.
"""

from readiness.checklists.workflow.ageing import age_for_deploy, settle
from readiness.checklists.workflow.attachments import AttachmentError, attach, forget_attachments, read_attachment
from readiness.checklists.workflow.comments import COMMENT_LENGTH, comment
from readiness.checklists.workflow.errors import ConflictError, WorkflowError
from readiness.checklists.workflow.items import Exhibit, assign, move, plan, start_checklist
from readiness.checklists.workflow.waivers import (
    approve_waiver,
    reject_waiver,
    request_waiver,
    revoke_waiver,
)

__all__ = [
    "COMMENT_LENGTH",
    "AttachmentError",
    "ConflictError",
    "Exhibit",
    "WorkflowError",
    "age_for_deploy",
    "approve_waiver",
    "assign",
    "attach",
    "comment",
    "forget_attachments",
    "move",
    "plan",
    "read_attachment",
    "reject_waiver",
    "request_waiver",
    "revoke_waiver",
    "settle",
    "start_checklist",
]
