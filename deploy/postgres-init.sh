#!/usr/bin/env bash
# First start of PostgreSQL: one user and one database each for Airflow and Superset. psql finds the
# server by PGHOST, PGPORT and PGUSER; the image's entry point sets none and uses its socket.
set -euo pipefail
for name in airflow superset; do
    variable="${name^^}_DATABASE_PASSWORD"
    # The password goes in by standard input: a command line can be read by everyone.
    psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres --quiet <<SQL
create role $name login password '${!variable}';
create database $name owner $name;
revoke all on database $name from public;
SQL
done
