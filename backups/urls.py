"""Addresses of the backup pages."""

from django.urls import path

from backups import import_views, proof_views, restore_views, retention_views, schedule_views, store_views, views

urlpatterns = [
    path("", views.show_backups, name="backups"),
    path("<int:pk>/", views.show_backup, name="backup"),
    path("<int:pk>/cancel/", views.cancel_backup, name="cancel_backup"),
    path("<int:pk>/verify/", views.verify_backup, name="verify_backup"),
    path("<int:pk>/prove/", views.prove_backup, name="prove_backup"),
    path("<int:pk>/download/", views.download_backup, name="download_backup"),
    path("<int:pk>/restore/", restore_views.restore_into_new, name="request_restore"),
    path("<int:pk>/beside/", restore_views.restore_beside, name="restore_beside"),
    path("<int:pk>/replace/", restore_views.replace_database, name="replace_by_backup"),
    path("restores/<int:pk>/approve/", restore_views.approve_restore, name="approve_restore"),
    path("restores/<int:pk>/undo/", restore_views.undo_restore, name="undo_restore"),
    path("restores/<int:pk>/", views.show_restore, name="restore"),
    path("restores/<int:pk>/cancel/", views.cancel_restore, name="cancel_restore"),
    path("verifications/<int:pk>/cancel/", views.cancel_verification, name="cancel_verification"),
    path("of/<slug:slug>/", views.show_environment_backups, name="environment_backups"),
    path("of/<slug:slug>/take/", views.take_backup, name="take_backup"),
    path("of/<slug:slug>/import/", import_views.import_dump, name="import_dump"),
    path("of/<slug:slug>/assertions/", proof_views.show_assertions, name="proof_assertions"),
    path("of/<slug:slug>/assertions/<int:pk>/remove/", proof_views.remove_assertion, name="remove_assertion"),
    path("of/<slug:slug>/schedules/", views.add_schedule, name="add_schedule"),
    path("stores/", store_views.show_stores, name="stores"),
    path("stores/test/", store_views.test_store, name="test_store"),
    path("copies/<int:pk>/retry/", store_views.retry_copy, name="retry_copy"),
    path("copies/<int:pk>/cancel/", store_views.cancel_copy, name="cancel_copy"),
    path("of/<slug:slug>/check/<int:pk>/", store_views.check_database, name="check_database"),
    path("of/<slug:slug>/schedules/<int:pk>/edit/", schedule_views.edit_schedule, name="edit_schedule"),
    path("<int:pk>/pin/", retention_views.pin_backup, name="pin_backup"),
    path("of/<slug:slug>/schedules/<int:pk>/keep/", retention_views.show_retention, name="schedule_retention"),
    path("of/<slug:slug>/schedules/<int:pk>/", views.change_schedule, name="change_schedule"),
]
