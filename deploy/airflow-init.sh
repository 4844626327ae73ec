#!/usr/bin/env bash
# Once before Airflow starts, and again after each update: its tables, and the operations login.
set -euo pipefail
airflow db migrate
umask 077
passwords=$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE
printf '{"operations": "%s"}\n' "${AIRFLOW_OPERATIONS_PASSWORD:?}" >"$passwords.new"
mv "$passwords.new" "$passwords"
