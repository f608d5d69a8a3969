#!/bin/sh
# start-members.sh DIR: three members of etcd, each with an address as if on a machine of its own. Their processes are in DIR/a.pid and so on.
set -e
dir=$1
mkdir -p "$dir"
cluster=a=http://127.0.0.11:12380,b=http://127.0.0.12:12380,c=http://127.0.0.13:12380
number=11
for name in a b c; do
  address=127.0.0.$number
  etcd --name=$name --data-dir="$dir/$name" --initial-cluster=$cluster \
    --listen-client-urls=http://$address:12379 --advertise-client-urls=http://$address:12379 \
    --listen-peer-urls=http://$address:12380 --initial-advertise-peer-urls=http://$address:12380 \
    >"$dir/$name.log" 2>&1 &
  echo $! >"$dir/$name.pid"
  number=$((number + 1))
done
for _ in $(seq 300); do
  if node -e 'fetch("http://127.0.0.11:12379/health").then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))'; then
    echo "three members ready"
    exit 0
  fi
  sleep 0.1
done
exit 1
