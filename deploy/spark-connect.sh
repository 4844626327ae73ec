#!/usr/bin/env bash
# One driver on the cluster that serves Spark Connect (the jobs) and JDBC (views of released tables):
# both see the same catalog. Neither asks who calls and both run what they are told; see the networks
# of docker-compose.yml. What it is set to is in spark-defaults.conf; addresses come by command line:
#   spark-connect.sh MASTER DRIVER_HOST CONNECT_PORT JDBC_PORT
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
master=${1:?} driver_host=${2:?} connect_port=${3:?} jdbc_port=${4:?}
jars=("$here"/../var/env/ivy/jars/io.delta_*.jar "$here"/../var/env/ivy/jars/io.unitycatalog_*.jar)
[ -e "${jars[0]}" ] || { echo "spark-connect: no Delta jars; run: bin/paylake doctor --fetch-jars" >&2; exit 14; }
home=${PAYLAKE_HOME:?} listen=${PAYLAKE_LISTEN:?}
export SPARK_CONF_DIR="$here/spark"
exec spark-submit --master "$master" \
    --class org.apache.spark.sql.hive.thriftserver.HiveThriftServer2 \
    --jars "$(IFS=,; echo "${jars[*]}")" \
    --driver-class-path "$(IFS=:; echo "${jars[*]}")" \
    --conf spark.driver.host="$driver_host" \
    --conf spark.driver.bindAddress="$listen" \
    --conf spark.connect.grpc.binding.address="$listen" \
    --conf spark.connect.grpc.binding.port="$connect_port" \
    --conf spark.sql.warehouse.dir="$home/run/spark/warehouse" \
    spark-internal \
    --hiveconf hive.server2.thrift.bind.host="$listen" \
    --hiveconf hive.server2.thrift.port="$jdbc_port"
