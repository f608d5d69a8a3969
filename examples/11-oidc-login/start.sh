#!/bin/sh
# Starts the provider, a store and an API server that believes it, in the folder that is given; writes their pids there.
set -e
dir=$1
mkdir -p "$dir"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 7 -subj /CN=provider \
  -addext subjectAltName=IP:127.0.0.1 -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/openssl.log"
openssl ecparam -name prime256v1 -genkey -noout -out "$dir/accounts.pem"
echo "let-me-in,admin,1,system:masters" >"$dir/tokens.csv"
programs=$(npx coracle envtest 2>/dev/null)

node examples/11-oidc-login/provider.mjs "$dir/cert.pem" "$dir/key.pem" >"$dir/provider.log" 2>&1 &
echo $! >"$dir/pids"
"$programs/etcd" --data-dir="$dir/etcd" --listen-client-urls=http://127.0.0.1:12379 \
  --advertise-client-urls=http://127.0.0.1:12379 --listen-peer-urls=http://127.0.0.1:12380 >"$dir/etcd.log" 2>&1 &
echo $! >>"$dir/pids"
until node -e 'fetch("http://127.0.0.1:12379/health").catch(() => process.exit(1))'; do sleep 0.1; done
"$programs/kube-apiserver" --etcd-servers=http://127.0.0.1:12379 --bind-address=127.0.0.1 --secure-port=16443 \
  --cert-dir="$dir" --tls-cert-file="$dir/cert.pem" --tls-private-key-file="$dir/key.pem" \
  --service-account-issuer=https://127.0.0.1:16443 --service-account-key-file="$dir/accounts.pem" \
  --service-account-signing-key-file="$dir/accounts.pem" --service-cluster-ip-range=10.0.0.0/24 \
  --authorization-mode=RBAC --token-auth-file="$dir/tokens.csv" \
  --oidc-issuer-url=https://127.0.0.1:9443 --oidc-client-id=kubernetes --oidc-ca-file="$dir/cert.pem" \
  --oidc-username-claim=email --oidc-groups-claim=groups --oidc-groups-prefix=oidc: >"$dir/api-server.log" 2>&1 &
echo $! >>"$dir/pids"

# A user for each way in: the administrator by a static token, the others by what login.mjs prints.
config="kubectl config --kubeconfig=$dir/kubeconfig"
$config set-cluster here --server=https://127.0.0.1:16443 --certificate-authority="$dir/cert.pem" --embed-certs
$config set-credentials admin --token=let-me-in
for user in ann bob; do
  $config set-credentials $user --exec-api-version=client.authentication.k8s.io/v1 --exec-interactive-mode=Never \
    --exec-command=node --exec-arg=examples/11-oidc-login/login.mjs --exec-arg=$user --exec-arg="$dir/cert.pem"
done
for user in admin ann bob; do $config set-context $user --cluster=here --user=$user; done
$config use-context admin

# Ready, and it has heard from the provider.
for _ in $(seq 200); do
  if kubectl --kubeconfig="$dir/kubeconfig" --context=ann auth whoami >/dev/null 2>&1; then exit 0; fi
  sleep 0.1
done
exit 1
