"""Addresses under /environments/ about going live: decisions, their snapshots, the plan, costs, comparisons."""

from django.urls import path

from readiness.views import costs, decisions, plans, snapshots

urlpatterns = [
    path("compare/", snapshots.compare_environments, name="compare_environments"),
    path("snapshot-key.pem", snapshots.download_public_key, name="snapshot_key"),
    path("<slug:slug>/decision/", decisions.show_decision, name="decision"),
    path("<slug:slug>/decision/open/", decisions.open_meeting, name="open_meeting"),
    path("<slug:slug>/decision/agenda/", decisions.change_agenda, name="change_agenda"),
    path("<slug:slug>/decision/freeze/", decisions.freeze_decision, name="freeze_decision"),
    path("<slug:slug>/decision/live/", decisions.go_live, name="go_live"),
    path("<slug:slug>/decision/roles/", decisions.add_role, name="add_required_role"),
    path("<slug:slug>/decision/roles/<int:pk>/remove/", decisions.remove_role, name="remove_required_role"),
    path("<slug:slug>/decision/roles/<int:pk>/sign/", decisions.sign, name="sign_required_role"),
    path("<slug:slug>/decision/roles/<int:pk>/withdraw/", decisions.withdraw, name="withdraw_required_role"),
    path("<slug:slug>/snapshots/compare/", snapshots.compare_snapshots, name="compare_snapshots"),
    path("<slug:slug>/snapshots/<int:number>/", snapshots.show_snapshot, name="snapshot"),
    path("<slug:slug>/snapshots/<int:number>/file/", snapshots.download_snapshot, name="download_snapshot"),
    path("<slug:slug>/plan/", plans.show_plan, name="plan"),
    path("<slug:slug>/costs/", costs.show_costs, name="costs"),
    path("<slug:slug>/costs/start/", costs.start_costs, name="start_costs"),
    path("<slug:slug>/costs/drop/", costs.drop_costs, name="drop_costs"),
    path("<slug:slug>/costs/add/", costs.save_line, name="add_cost"),
    path("<slug:slug>/costs/<int:pk>/", costs.save_line, name="change_cost"),
    path("<slug:slug>/costs/<int:pk>/remove/", costs.remove_line, name="remove_cost"),
]
