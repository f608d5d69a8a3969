// push-image.mjs FILE: pushes what FILE describes ({registry, repository, tag, mediaType, manifest, blobs: [{digest, file}]})
// by the registry's HTTP API (OCI distribution specification, "Push").
import { readFileSync } from "node:fs";

const { registry, repository, tag, mediaType, manifest, blobs } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const base = `http://${registry}/v2/${repository}`;

async function expect(status, url, init) {
  const response = await fetch(url, init);
  if (response.status !== status) throw new Error(`${init.method} ${url}: ${response.status} ${await response.text()}`);
  await response.arrayBuffer();
  return response;
}

for (const { digest, file } of blobs) {
  const known = await fetch(`${base}/blobs/${digest}`, { method: "HEAD" });
  if (known.status === 200) continue;
  const opened = await expect(202, `${base}/blobs/uploads/`, { method: "POST" });
  const target = new URL(opened.headers.get("location"), base);
  target.searchParams.set("digest", digest);
  const headers = { "content-type": "application/octet-stream" };
  await expect(201, target, { method: "PUT", headers, body: readFileSync(file) });
}
await expect(201, `${base}/manifests/${tag}`, {
  method: "PUT",
  headers: { "content-type": mediaType },
  body: readFileSync(manifest),
});
