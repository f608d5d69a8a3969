#!/bin/sh
# api-server.sh DIR FLAGS...: starts an API server with its files in DIR and the store that FLAGS name. DIR/kubeconfig is its administrator's,
# DIR/api-server.pid its process. What is in DIR already is used again.
set -e
dir=$1
shift
mkdir -p "$dir"
if [ ! -e "$dir/key.pem" ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 7 -subj /CN=kube-apiserver \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/openssl.log"
  openssl ecparam -name prime256v1 -genkey -noout -out "$dir/accounts.pem"
  echo "let-me-in,admin,1,system:masters" >"$dir/tokens.csv"
  config="kubectl config --kubeconfig=$dir/kubeconfig"
  $config set-cluster here --server=https://127.0.0.1:16443 --certificate-authority="$dir/cert.pem" --embed-certs
  $config set-credentials admin --token=let-me-in
  $config set-context admin --cluster=here --user=admin
  $config use-context admin
fi >"$dir/files.log"
node_modules/.bin/coracle kube-apiserver "$@" --bind-address=127.0.0.1 --secure-port=16443 \
  --cert-dir="$dir" --tls-cert-file="$dir/cert.pem" --tls-private-key-file="$dir/key.pem" \
  --service-account-issuer=https://127.0.0.1:16443 --service-account-key-file="$dir/accounts.pem" \
  --service-account-signing-key-file="$dir/accounts.pem" --service-cluster-ip-range=10.0.0.0/24 \
  --authorization-mode=RBAC --token-auth-file="$dir/tokens.csv" >>"$dir/api-server.log" 2>&1 &
echo $! >"$dir/api-server.pid"
for _ in $(seq 300); do
  if kubectl --kubeconfig="$dir/kubeconfig" get --raw /readyz >/dev/null 2>&1; then
    echo "API server ready"
    exit 0
  fi
  sleep 0.1
done
tail -3 "$dir/api-server.log" >&2
exit 1
