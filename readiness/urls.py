"""Addresses under /environments/; the page of one environment is the site's, which knows its backups too."""

from django.urls import path

from readiness.views import checklists, environments, maintenance, probes, scenarios, trackers

urlpatterns = [
    path("add/", environments.add_environment, name="add_environment"),
    path("failing/", probes.show_failing, name="failing"),
    path("maintenance/", maintenance.plan_maintenance, name="maintenance"),
    path("maintenance/<int:pk>/remove/", maintenance.remove_maintenance, name="remove_maintenance"),
    path("<slug:slug>/settings/", environments.change_environment, name="environment_settings"),
    path("<slug:slug>/retire/", environments.retire_environment, name="retire_environment"),
    path("<slug:slug>/endpoints/", environments.add_endpoint, name="add_endpoint"),
    path("<slug:slug>/endpoints/<int:pk>/remove/", environments.remove_endpoint, name="remove_endpoint"),
    path("<slug:slug>/databases/", environments.save_database, name="add_database"),
    path("<slug:slug>/databases/<int:pk>/", environments.save_database, name="change_database"),
    path("<slug:slug>/databases/<int:pk>/remove/", environments.remove_database, name="remove_database"),
    path("<slug:slug>/databases/<int:pk>/test/", environments.test_connection, name="test_connection"),
    path("<slug:slug>/scenarios/", scenarios.add_scenario, name="add_scenario"),
    path("<slug:slug>/scenarios/<int:pk>/", scenarios.change_scenario, name="change_scenario"),
    path("<slug:slug>/scenarios/<int:pk>/switch/", scenarios.switch_scenario, name="switch_scenario"),
    path("<slug:slug>/scenarios/<int:pk>/remove/", scenarios.remove_scenario, name="remove_scenario"),
    path("<slug:slug>/secrets/", scenarios.store_secret, name="store_secret"),
    path("<slug:slug>/secrets/<int:pk>/remove/", scenarios.remove_secret, name="remove_secret"),
    path("<slug:slug>/records/", scenarios.add_record, name="add_record"),
    path("<slug:slug>/records/<int:pk>/remove/", scenarios.remove_record, name="remove_record"),
    path("<slug:slug>/items/<str:key>/", checklists.show_item, name="item"),
    path("<slug:slug>/items/<str:key>/tick/", checklists.tick_item, name="tick_item"),
    path("<slug:slug>/items/<str:key>/comment/", checklists.comment_item, name="comment_item"),
    path("<slug:slug>/errors/", trackers.show_errors, name="environment_errors"),
    path("<slug:slug>/errors/<int:pk>/", trackers.show_issue, name="tracker_issue"),
    path("<slug:slug>/tracker/", trackers.change_tracker, name="change_tracker"),
    path("<slug:slug>/tracker/test-event/", trackers.send_test_event, name="send_test_event"),
    path("<slug:slug>/tracker/remove/", trackers.remove_tracker, name="remove_tracker"),
    path("<slug:slug>/probes/", probes.show_probes, name="environment_probes"),
    path("<slug:slug>/evidence/<str:name>", probes.show_screenshot, name="screenshot"),
    path("<slug:slug>/probes/now/", probes.probe_now, name="probe_now"),
    path("<slug:slug>/probes/<slug:kind>/", probes.show_history, name="probe_history"),
    path("<slug:slug>/probes/<slug:kind>/mute/", maintenance.mute_probe, name="mute_probe"),
]
