#!/bin/sh
# Runs a command, the web server as a rule, with what belongs around it: `make run` and the Docker image come here.
#   - before gunicorn, the photos are indexed, if INDEX_FIRST says so or Elasticsearch is the embedded node; if that
#     fails, gunicorn starts nevertheless and serves what the index holds;
#   - before that, in a container (IN_CONTAINER=yes), a password is made unless the settings say who may come in;
#   - after the command, the embedded node is stopped in good order, unless somebody else uses it, or it ran, and
#     nobody used it, before: then it was started by hand.
# As PID 1 of a container it must stop the node itself: the kernel would kill it together with PID 1.
set -eu

child=
status=0
stopping=

stop() {
    stopping=yes
    [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || :
}

# In the background, for a shell acts on a signal at once only while it waits. The signal also ends that wait.
run() {
    [ -z "$stopping" ] || return 143
    "$@" <&3 3<&- &
    child=$!
    [ -z "$stopping" ] || stop
    while :; do
        wait "$child" && status=0 || status=$?
        kill -0 "$child" 2>/dev/null || break
    done
    child=
    return "$status"
}

# A background command's own standard input is /dev/null: keep the real one, for `docker run -it ... bash`.
exec 3<&0
trap stop TERM INT HUP

if [ "${1:-}" = gunicorn ] && [ "${IN_CONTAINER:-}" = yes ]; then
    # It fails if the settings cannot be used, or if nothing can be written into DATA_DIR: then nothing is served.
    made_password=$(python -m image_embeddings make-password)
    [ -z "$made_password" ] || export APP_PASSWORD_FILE="$made_password"
fi

embedded=yes
ran_before=
if [ -n "${ES_HOST:-}${ES_CLOUD_ID:-}" ]; then
    embedded=
elif python -m image_embeddings node status --unused >/dev/null 2>&1; then
    ran_before=yes
fi

if [ "${1:-}" = gunicorn ] && [ "${INDEX_FIRST:-$embedded}" = yes ]; then
    # Photos that were indexed before can be found whatever happens here; the pages say why the run failed.
    run python -m image_embeddings index || [ -n "$stopping" ] ||
        echo "Indexing failed (the reason is above): the web app serves what the index holds." >&2
fi
status=0
run "$@" || status=$?
if [ -n "$embedded" ] && [ -z "$ran_before" ]; then
    python -m image_embeddings node stop --if-unused >/dev/null || :
fi
exit "$status"
