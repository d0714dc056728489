# One image for every part: docker run mailcascade:0.1.0 ingest | worker | topics apply | settings.
# Health checks differ by part, so they are where the parts are named: in compose.yaml.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /opt/mailcascade
COPY requirements/run.lock requirements/dev.lock requirements/
RUN /opt/mailcascade/bin/pip install --require-hashes -r requirements/run.lock
# The build backend and what it needs, by the same hashes as in development.
RUN sed -nE '/^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/,/[^\\]$/p' requirements/dev.lock > requirements/build.txt \
    && python -m venv /opt/builder \
    && /opt/builder/bin/pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY runtime runtime
COPY retry_topics retry_topics
COPY consumers consumers
COPY ingest ingest
COPY console console
RUN /opt/builder/bin/python -m hatchling build -t wheel -d dist \
    && /opt/mailcascade/bin/pip install --no-deps --no-index dist/*.whl

FROM python:3.11.14-slim-bookworm
# What a worker keeps is its own; in a volume it outlives the container.
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/mailcascade mailcascade \
    && install --directory --owner mailcascade /var/lib/mailcascade/status
COPY --from=build /opt/mailcascade /opt/mailcascade
ENV PATH=/opt/mailcascade/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MAILCASCADE_STATE_DIR=/var/lib/mailcascade
USER mailcascade
WORKDIR /var/lib/mailcascade
EXPOSE 8080
ENTRYPOINT ["mailcascade"]
CMD ["--help"]
