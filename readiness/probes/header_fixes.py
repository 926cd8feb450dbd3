"""What to write where: a snippet for Django, Helmet (Express), nginx and Caddy for every failing header test. Pure."""

from collections.abc import Mapping

_CSP = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_HSTS = "max-age=31536000; includeSubDomains; preload"


def _compose(django: str, helmet: str, nginx: str, caddy: str) -> str:
    return f"Django: {django}\nHelmet: {helmet}\nnginx: {nginx}\nCaddy: {caddy}"


def _compose_header(name: str, value: str, django: str, helmet: str) -> str:
    return _compose(
        django, f"app.use(helmet({{ {helmet} }}))", f'add_header {name} "{value}" always;', f'header {name} "{value}"'
    )


_COOKIE_FIX = _compose(
    'SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SESSION_COOKIE_HTTPONLY = True; SESSION_COOKIE_SAMESITE = "Lax"',
    'express-session: cookie: { secure: true, httpOnly: true, sameSite: "lax" }',
    "proxy_cookie_flags ~ secure httponly samesite=lax;",
    'header_down >Set-Cookie "(.*)" "$1; Secure; HttpOnly; SameSite=Lax" inside reverse_proxy',
)

FIXES: Mapping[str, str] = {
    "content-security-policy": _compose_header(
        "Content-Security-Policy",
        _CSP,
        f'django-csp: CONTENT_SECURITY_POLICY = {{"DIRECTIVES": {{"default-src": [SELF], ...}}}} for {_CSP}',
        "contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: [\"'self'\"], "
        "objectSrc: [\"'none'\"], baseUri: [\"'none'\"], frameAncestors: [\"'none'\"] } }",
    ),
    "cookies": _COOKIE_FIX,
    "cross-origin-resource-sharing": _compose(
        'django-cors-headers: CORS_ALLOWED_ORIGINS = ["https://your-frontend"], never CORS_ALLOW_ALL_ORIGINS',
        'cors package: app.use(cors({ origin: "https://your-frontend", credentials: true }))',
        'add_header Access-Control-Allow-Origin "https://your-frontend" always;',
        'header Access-Control-Allow-Origin "https://your-frontend"',
    ),
    "cross-origin-resource-policy": _compose_header(
        "Cross-Origin-Resource-Policy",
        "same-origin",
        'a middleware: response["Cross-Origin-Resource-Policy"] = "same-origin"',
        'crossOriginResourcePolicy: { policy: "same-origin" }',
    ),
    "redirection": _compose(
        "SECURE_SSL_REDIRECT = True",
        'app.use((req, res, next) => req.secure ? next() : res.redirect(301, "https://" + req.headers.host + req.url))',
        "server { listen 80; return 301 https://$host$request_uri; }",
        "nothing to write: a site without http:// in its address is redirected to https by itself",
    ),
    "referrer-policy": _compose_header(
        "Referrer-Policy",
        "strict-origin-when-cross-origin",
        'SECURE_REFERRER_POLICY = "strict-origin-when-cross-origin"',
        'referrerPolicy: { policy: "strict-origin-when-cross-origin" }',
    ),
    "strict-transport-security": _compose_header(
        "Strict-Transport-Security",
        _HSTS,
        "SECURE_HSTS_SECONDS = 31536000; SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True",
        "strictTransportSecurity: { maxAge: 31536000, includeSubDomains: true, preload: true }",
    ),
    "subresource-integrity": _compose(
        "{% load static %} <script src=\"{% static 'vendor/x.js' %}\"></script>, with the file in your static files",
        'no option of Helmet: app.use("/vendor", express.static("vendor")) and <script src="/vendor/x.js">',
        'location /vendor/ { root /srv/www; } and <script src="/vendor/x.js">',
        'handle_path /vendor/* { root * /srv/www/vendor; file_server } and <script src="/vendor/x.js">',
    )
    + "\nOr keep it elsewhere, over https:// and with its hash:\n"
    '<script src="https://cdn.example/x.js" integrity="sha384-..." crossorigin="anonymous"></script>\n'
    "The hash: curl -s https://cdn.example/x.js | openssl dgst -sha384 -binary | openssl base64 -A",
    "x-content-type-options": _compose_header(
        "X-Content-Type-Options", "nosniff", "SECURE_CONTENT_TYPE_NOSNIFF = True", "xContentTypeOptions: true"
    ),
    "x-frame-options": _compose_header(
        "X-Frame-Options", "DENY", 'X_FRAME_OPTIONS = "DENY"', 'xFrameOptions: { action: "deny" }'
    ),
    "permissions-policy": _compose(
        'a middleware: response["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"',
        'res.setHeader("Permissions-Policy", "camera=(), microphone=(), geolocation=()")',
        'add_header Permissions-Policy "camera=(), microphone=(), geolocation=()" always;',
        'header Permissions-Policy "camera=(), microphone=(), geolocation=()"',
    ),
    "cross-origin-opener-policy": _compose_header(
        "Cross-Origin-Opener-Policy",
        "same-origin",
        'SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"',
        'crossOriginOpenerPolicy: { policy: "same-origin" }',
    ),
    "cross-origin-embedder-policy": _compose_header(
        "Cross-Origin-Embedder-Policy",
        "require-corp",
        'a middleware: response["Cross-Origin-Embedder-Policy"] = "require-corp"',
        'crossOriginEmbedderPolicy: { policy: "require-corp" }',
    ),
    "server": _compose(
        "set by the server in front of it, not by Django",
        "app.disable('x-powered-by')",
        "server_tokens off;",
        "header -Server",
    ),
    "x-powered-by": _compose(
        "set by the server in front of it, not by Django",
        "app.disable('x-powered-by')",
        "proxy_hide_header X-Powered-By;",
        "header -X-Powered-By",
    ),
}
