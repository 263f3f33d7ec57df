# Local Data Flow with Airflow and this provider, built from a checkout:
#   docker build -t dataflow-local .
#   docker run --rm --network host -v dataflow-local:/data dataflow-local
# The server listens on loopback only, so a client has to share its network; docs/ci.md shows how.
# The demo, which needs no network: a real Airflow runs a DAG on it.
#   docker build -t dataflow-demo --target demo .
#   docker run --rm dataflow-demo
FROM python:3.11-slim-bookworm AS base

WORKDIR /src
COPY pyproject.toml hatch_build.py constraints.txt README.md LICENSE ./
COPY airflow_provider_dataflow airflow_provider_dataflow
RUN pip install --no-cache-dir --constraint constraints.txt '.[local]' pytest

# Applications recognize Data Flow by this home.
RUN useradd --uid 1000 --create-home --home-dir /home/dataflow dataflow \
    && mkdir /data \
    && chown dataflow:dataflow /data
USER 1000
WORKDIR /home/dataflow

FROM base AS demo

COPY --chown=1000:1000 dev dev
COPY --chown=1000:1000 example_dags example_dags
CMD ["python", "-m", "dev.demo"]

FROM base AS server

ENV DATAFLOW_LOCAL_HOME=/data
VOLUME /data

HEALTHCHECK --interval=5s --start-period=30s CMD \
    ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8170/_local/health', timeout=3)"]
ENTRYPOINT ["dataflow-local"]
CMD ["serve"]
