"""Addresses under /templates/."""

from django.urls import path

from readiness.views import template_drafts, templates

urlpatterns = [
    path("", templates.show_templates, name="templates"),
    path("new/", templates.add_template, name="add_template"),
    path("preview/", template_drafts.preview_markdown, name="preview_markdown"),
    path("<slug:template>/", templates.show_template, name="template"),
    path("<slug:template>/items/<str:key>/", templates.show_template_item, name="template_item"),
    path("<slug:template>/export/", templates.export_template, name="export_template"),
    path("<slug:template>/versions/<int:number>/", templates.show_template, name="template_version"),
    path(
        "<slug:template>/versions/<int:number>/items/<str:key>/",
        templates.show_template_item,
        name="template_version_item",
    ),
    path("<slug:template>/versions/<int:number>/export/", templates.export_template, name="export_template_version"),
    path("<slug:template>/start-draft/", template_drafts.start_draft, name="start_draft"),
    path("<slug:template>/draft/", template_drafts.show_draft, name="template_draft"),
    path("<slug:template>/draft/about/", template_drafts.change_about, name="draft_about"),
    path("<slug:template>/draft/text/", template_drafts.change_text, name="draft_text"),
    path("<slug:template>/draft/add-section/", template_drafts.save_section, name="add_section"),
    path("<slug:template>/draft/sections/<str:key>/", template_drafts.save_section, name="change_section"),
    path("<slug:template>/draft/add-item/", template_drafts.save_item, name="add_item"),
    path("<slug:template>/draft/items/<str:key>/", template_drafts.save_item, name="change_item"),
    path("<slug:template>/draft/move/", template_drafts.move_part, name="move_part"),
    path("<slug:template>/draft/remove/", template_drafts.remove_part, name="remove_part"),
    path("<slug:template>/draft/publish/", template_drafts.publish_draft, name="publish_draft"),
    path("<slug:template>/draft/delete/", template_drafts.delete_draft, name="delete_draft"),
]
