// Converts lamps between their versions, for the API server: v1 has host and port, v2 one address.
const { readFileSync } = require("node:fs");
const { createServer } = require("node:https");

const WAYS = {
  "lights.example.com/v1": ({ address = "" }) => {
    const [host = "", port = "0"] = address.split(":");
    return { host, port: Number(port) };
  },
  "lights.example.com/v2": ({ host, port }) => ({ address: `${host}:${port}` }),
};

function convert({ uid, desiredAPIVersion, objects }) {
  const convertedObjects = objects.map((object) =>
    object.apiVersion === desiredAPIVersion
      ? object
      : { ...object, apiVersion: desiredAPIVersion, spec: WAYS[desiredAPIVersion](object.spec) },
  );
  console.log(`${objects.length} to ${desiredAPIVersion}`);
  return { uid, convertedObjects, result: { status: "Success" } };
}

const files = { cert: readFileSync("/serving/tls.crt"), key: readFileSync("/serving/tls.key") };
createServer(files, (request, response) => {
  let text = "";
  request.on("data", (part) => (text += part));
  request.on("end", () => {
    const { apiVersion, kind, request: asked } = JSON.parse(text);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ apiVersion, kind, response: convert(asked) }));
  });
}).listen(8443);
