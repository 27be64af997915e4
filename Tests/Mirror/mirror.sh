#!/usr/bin/env bash
# A real tree through the node, byte for byte.
#
# Debian's Python documentation (about a thousand files, 60 MB) is served by nginx and mirrored with wget: once from
# nginx itself, twice through the node. All three mirrors must be the same, and the second pass may ask the origin
# for validation (304) but not transfer anything again.
#
#   Tests/Mirror/mirror.sh PATH-TO-ROCKPOOL [DOCUMENT-ROOT]
set -euo pipefail

binary=$(realpath "${1:?usage: mirror.sh PATH-TO-ROCKPOOL [DOCUMENT-ROOT]}")
root=${2:-/usr/share/doc/python3.11/html}
[ -f "$root/index.html" ] || { echo "mirror: no $root/index.html; install python3.11-doc" >&2; exit 1; }
nginx=$(command -v nginx || echo /usr/sbin/nginx)
for tool in "$binary" "$nginx"; do
    [ -x "$tool" ] || { echo "mirror: $tool is not there" >&2; exit 1; }
done

work=$(mktemp -d)
origin_pid= node_pid=
clean_up() {
    code=$?
    trap - EXIT
    for pid in $node_pid $origin_pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ $code != 0 ]; then
        echo "mirror: last lines of the node and of the origin:" >&2
        tail -n 15 "$work/node.log" "$work/error.log" >&2 2>/dev/null || true
        echo "0 passed, 1 failed"
    fi
    rm -rf "$work"
    exit $code
}
trap clean_up EXIT
trap 'exit 130' INT TERM

fail() { echo "mirror: $*" >&2; exit 1; }

# Three different free ports, found by the kernel.
read -r origin_port node_port admin_port < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(3)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))')

# Waits until the URL answers at all; the process must be alive meanwhile.
await_answer() {
    for _ in $(seq 200); do
        kill -0 "$2" 2>/dev/null || fail "$3 ended at once"
        curl -s -o /dev/null --max-time 5 "$1" && return
        sleep 0.05
    done
    fail "$3 does not answer"
}

mkdir "$work/tmp"
cat > "$work/nginx.conf" <<EOF
daemon off;
worker_processes 1;
pid $work/nginx.pid;
error_log $work/error.log;
events { worker_connections 512; }
http {
    types {
        text/html html; text/css css; text/javascript js; image/png png; image/svg+xml svg; text/plain txt;
        image/gif gif; application/json json;
    }
    default_type application/octet-stream;
    log_format transfers '\$status \$request_method \$request_uri';
    access_log $work/access.log transfers;
    client_body_temp_path $work/tmp/a; proxy_temp_path $work/tmp/b; fastcgi_temp_path $work/tmp/c;
    uwsgi_temp_path $work/tmp/d; scgi_temp_path $work/tmp/e;
    sendfile on;
    etag on;
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:$origin_port;
        root "$root";
        add_header Cache-Control "max-age=3600";
        # Debian's tree links to scripts of other packages; only what is in the tree is served.
        disable_symlinks off;
    }
}
EOF
"$nginx" -p "$work" -e "$work/error.log" -c "$work/nginx.conf" & origin_pid=$!
await_answer "http://127.0.0.1:$origin_port/index.html" "$origin_pid" "the origin"

"$binary" serve --origin "http://127.0.0.1:$origin_port" --listen "127.0.0.1:$node_port" \
    --admin "127.0.0.1:$admin_port" --cache-dir "$work/cache" --access-log off > "$work/node.log" 2>&1 & node_pid=$!
await_answer "http://127.0.0.1:$admin_port/healthz" "$node_pid" "the node"

# wget ends with 8 when the tree links to something that is not there, as this one does; that is not our matter.
mirror() {
    local into=$1 port=$2 code=0
    mkdir "$into"
    wget --mirror --quiet --no-host-directories --no-parent -e robots=off --tries=1 --timeout=60 --no-proxy \
        --directory-prefix="$into" "http://127.0.0.1:$port/index.html" || code=$?
    [ $code = 0 ] || [ $code = 8 ] || fail "wget ended with $code on $(basename "$into")"
}

same() { diff -rq "$1" "$2" > "$work/diff" || fail "$3 differs: $(head -n 5 "$work/diff")"; }

mirror "$work/direct" "$origin_port"
count=$(find "$work/direct" -type f | wc -l)
[ "$count" -ge 300 ] || fail "only $count files mirrored from the origin: nothing to compare"
# What the origin sent is what lies in the tree.
while IFS= read -r -d '' file; do
    name=${file#"$work/direct/"}
    name=${name%%\?*}
    cmp -s "$file" "$root/$name" || fail "the origin itself served a wrong $name"
done < <(find "$work/direct" -type f -print0)

lines() { wc -l < "$work/access.log"; }
before=$(lines)
mirror "$work/first" "$node_port"
same "$work/direct" "$work/first" "the first mirror through the node"
between=$(lines)
pulls=$((between - before))
[ "$pulls" -ge "$count" ] || fail "only $pulls origin requests for $count files: was the node in the way at all?"
repeated=$(tail -n +$((before + 1)) "$work/access.log" | awk '$1 == 200 { print $3 }' | sort | uniq -d | head -n 3)
[ -z "$repeated" ] || fail "the first pass pulled twice: $repeated"

mirror "$work/second" "$node_port"
same "$work/direct" "$work/second" "the second mirror through the node"
# 404s of links that lead nowhere carry no lifetime and are not stored; anything with a body of the tree counts.
transfers=$(tail -n +$((between + 1)) "$work/access.log" | awk '$1 == 200 || $1 == 206' | wc -l)
validations=$(tail -n +$((between + 1)) "$work/access.log" | awk '$1 == 304' | wc -l)
[ "$transfers" = 0 ] || fail "the second pass transferred $transfers again, first: $(
    tail -n +$((between + 1)) "$work/access.log" | awk '$1 == 200 || $1 == 206' | head -n 3)"

echo "mirror: $count files, three times the same; first pass $pulls origin requests," \
    "second pass 0 transfers and $validations validations"
echo "1 passed, 0 failed"
