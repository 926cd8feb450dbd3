"""The site's addresses."""

from django.contrib import admin
from django.urls import include, path

from portal import gate_views, views
from readiness.views import api, tokens

urlpatterns = [
    path("", views.show_dashboard, name="dashboard"),
    path("people/", views.show_people, name="people"),
    path("people/invite/", views.invite_person, name="invite_person"),
    path("people/<int:pk>/", views.change_person, name="change_person"),
    path("people/<int:pk>/link/", views.show_invitation, name="show_invitation"),
    path("key/", views.show_key, name="backup_key"),
    path("key/confirm/", views.confirm_key, name="confirm_key"),
    path("accounts/", include("allauth.account.urls")),
    path("admin/", admin.site.urls),
    path("test-error/", views.send_test_error, name="test_error"),
    path("alerts/", include("readiness.alert_urls")),
    path("tokens/", tokens.show_tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", tokens.revoke_token, name="revoke_token"),
    path("api/environments/<slug:slug>/gate", gate_views.show_gate, name="api_gate"),
    path("api/environments/<slug:slug>/facts", api.receive_facts, name="api_facts"),
    path("api/environments/<slug:slug>/deploys", api.receive_deploy, name="api_deploys"),
    path("environments/", include("readiness.urls")),
    path("environments/<slug:slug>/", views.show_environment, name="environment"),
    path("backups/", include("backups.urls")),
]

handler403 = "portal.views.forbidden"
handler404 = "portal.views.not_found"
handler500 = "portal.views.server_error"
