#!/usr/bin/env bash
# Superset's cache: Valkey, or Redis where that is what the machine has (both answer the same). Cached
# values are pickled, so whoever may write here runs code in Superset: a password on every connection.
#   redis.sh serve PORT ADDRESS | redis.sh ping PORT
set -euo pipefail
: "${REDIS_PASSWORD:?}"
kind=valkey
command -v valkey-server >/dev/null || kind=redis
case "${1:?}" in
    serve)
        # The configuration comes by standard input, so that no command line shows the password.
        exec "$kind-server" - --port "${2:?}" --bind "${3:?}" --save "" --appendonly no \
            --maxmemory 256mb --maxmemory-policy allkeys-lru <<<"requirepass $REDIS_PASSWORD"
        ;;
    ping)
        [ "$(REDISCLI_AUTH=$REDIS_PASSWORD "$kind-cli" -h 127.0.0.1 -p "${2:?}" ping)" = PONG ]
        ;;
    *) echo "usage: redis.sh serve PORT ADDRESS | redis.sh ping PORT" >&2; exit 2 ;;
esac
