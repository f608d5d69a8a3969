// What kubectl asks for credentials: logs in at the provider and prints the token. node login.mjs ACCOUNT CERTIFICATE
import { readFileSync } from "node:fs";
import { request } from "node:https";

const [username, ca] = process.argv.slice(2);
const body = new URLSearchParams({ grant_type: "password", client_id: "kubernetes", username }).toString();
const headers = { "content-type": "application/x-www-form-urlencoded" };
const options = { method: "POST", ca: readFileSync(ca), headers };
const asked = request("https://127.0.0.1:9443/token", options, (answer) => {
  let text = "";
  answer.on("data", (part) => (text += part));
  answer.on("end", () => {
    const { id_token: token } = JSON.parse(text);
    const credential = { apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential", status: { token } };
    console.log(JSON.stringify(credential));
  });
});
asked.end(body);
