# The images of the server deployment, one target each: lake, airflow, superset.
# Environments come from the same locks with hashes, by the same program, as on a laptop.
FROM python:3.11.14-slim-bookworm AS base
ENV PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 UV_COMPILE_BYTECODE=1 TZ=UTC
WORKDIR /opt/paylake
# Nothing here belongs to the user that runs: it can change neither code nor environments.
RUN groupadd --gid 10001 paylake \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /srv/paylake paylake \
    && install -d -o paylake -g paylake -m 0750 /srv/paylake /srv/paylake/lake \
        /srv/paylake/serving /srv/paylake/keys /srv/paylake/airflow /srv/paylake/superset
COPY bin bin
COPY requirements requirements

# The ledger's hot modules as machine code; the compiler stays behind.
FROM base AS ledger-core
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml pyproject.toml
COPY ledger ledger
RUN bin/compile-ledger

FROM base AS lake-environment
RUN ln -s "$(dirname "$(dirname "$(bin/python-of lake)")")" /opt/lake
ENV PATH=/opt/lake/bin:$PATH PYTHONPATH=/opt/paylake
COPY paylake paylake
# Spark's jars for Delta and for object stores, by its own Ivy; this makes Java's wrapper, too.
RUN python -c "from paylake import settings, spark_runtime as it; [it.fetch(settings.load(), jars) for jars in (it.DELTA, it.S3A)]"
ENV JAVA_HOME=/opt/paylake/var/env/java
COPY contracts contracts
COPY ledger ledger
COPY --from=ledger-core /opt/paylake/var/compiled var/compiled
COPY ingestion ingestion
COPY spark_jobs spark_jobs
COPY dbt dbt
COPY expectations expectations
COPY reporting reporting
COPY dashboards dashboards
COPY dags dags
COPY cli cli
COPY deploy deploy

# The ledger, the Spark cluster, and one-shots.
FROM lake-environment AS lake
USER paylake

# Airflow calls the lake by its command only, so that both environments are in here.
FROM lake-environment AS airflow
RUN ln -s "$(dirname "$(dirname "$(bin/python-of airflow-server)")")" /opt/airflow
ENV PATH=/opt/airflow/bin:$PATH
USER paylake

FROM base AS superset
RUN ln -s "$(dirname "$(dirname "$(bin/python-of superset-server)")")" /opt/superset
ENV PATH=/opt/superset/bin:$PATH PYTHONPATH=/opt/paylake
COPY paylake paylake
COPY dashboards dashboards
# What screens know of tables, regions, calendars and checks.
COPY contracts contracts
COPY dbt dbt
COPY expectations/suites expectations/suites
COPY deploy deploy
USER paylake
