# One image for both services and the command line:
#   python -m auth_service | python -m resource_service | steelcut …
# In it each service listens on port 8000.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_DEPS=1
WORKDIR /source
# The packages before the source, because they change less often. No pip in what is kept: no service needs one.
COPY requirements.lock ./
# A package stands in the first section that needs it: what builds needs some of the server's, too.
RUN awk '/^# section: / {wanted = ($3 ~ /^(server|options)$/)} wanted' requirements.lock >/server.lock \
 && awk '/^# section: / {wanted = ($3 ~ /^(server|options|build)$/)} wanted' requirements.lock >/build.lock \
 && python -m venv /build \
 && python -m venv --without-pip /opt/steelcut \
 && /build/bin/pip install --quiet --require-hashes --requirement /build.lock \
 && /build/bin/pip --python /opt/steelcut/bin/python install --quiet --require-hashes --requirement /server.lock
COPY pyproject.toml README.md LICENSE ./
COPY services services
COPY shared shared
RUN /build/bin/pip wheel --quiet --no-build-isolation --wheel-dir /wheels . \
 && /build/bin/pip --python /opt/steelcut/bin/python install --quiet --no-index /wheels/steelcut-*.whl

FROM python:3.13-slim
COPY --from=build /opt/steelcut /opt/steelcut
# Nothing is compiled or written at run time, so that the root file system may be read-only.
ENV PATH=/opt/steelcut/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AUTH_HOST=0.0.0.0 \
    AUTH_PORT=8000 \
    RESOURCE_HOST=0.0.0.0 \
    RESOURCE_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["steelcut", "--help"]
