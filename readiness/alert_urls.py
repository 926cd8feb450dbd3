"""Addresses under /alerts/."""

from django.urls import path

from readiness.views import alerts, notices

urlpatterns = [
    path("", alerts.show_alerts, name="alerts"),
    path("<int:pk>/acknowledge/", alerts.acknowledge_alert, name="acknowledge_alert"),
    path("acknowledge/<str:token>/", alerts.acknowledge_by_link, name="acknowledge_by_link"),
    path("settings/", alerts.show_alert_settings, name="alert_settings"),
    path("channels/add/", alerts.save_channel, name="add_channel"),
    path("channels/<int:pk>/", alerts.save_channel, name="change_channel"),
    path("channels/<int:pk>/test/", alerts.test_channel, name="test_channel"),
    path("channels/<int:pk>/remove/", alerts.remove_channel, name="remove_channel"),
    path("rules/add/", alerts.save_rule, name="add_rule"),
    path("rules/<int:pk>/", alerts.save_rule, name="change_rule"),
    path("rules/<int:pk>/remove/", alerts.remove_rule, name="remove_rule"),
    path("rotas/add/", alerts.save_rota, name="add_rota"),
    path("rotas/<int:pk>/", alerts.save_rota, name="change_rota"),
    path("rotas/<int:pk>/remove/", alerts.remove_rota, name="remove_rota"),
    path("mine/", notices.change_notices, name="my_notices"),
]
