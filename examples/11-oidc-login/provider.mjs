// An OpenID provider for one's own machine: the npm package oidc-provider with two accounts, which asks for no password.
// node provider.mjs CERTIFICATE KEY
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider from "oidc-provider";

const [cert, key] = process.argv.slice(2);
const ISSUER = "https://127.0.0.1:9443";
const ACCOUNTS = {
  ann: { email: "ann@example.com", email_verified: true, groups: ["rowers"] },
  bob: { email: "bob@example.com", email_verified: true, groups: ["guests"] },
};

const provider = new Provider(ISSUER, {
  clients: [
    {
      client_id: "kubernetes",
      token_endpoint_auth_method: "none",
      redirect_uris: [],
      response_types: [],
      grant_types: ["password"],
    },
  ],
  claims: { openid: ["sub", "email", "email_verified", "groups"] },
  conformIdTokenClaims: false,
  cookies: { keys: [randomUUID()] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...ACCOUNTS[id] }) }),
});

/** Who says a name is believed: a real provider would ask for more. */
async function logIn(context) {
  const { client, params } = context.oidc;
  const token = new provider.IdToken({ sub: params.username, ...ACCOUNTS[params.username] }, { ctx: context, client });
  token.scope = "openid";
  context.body = { id_token: await token.issue({ use: "idtoken" }), token_type: "Bearer" };
}
provider.registerGrantType("password", logIn, ["username"]);
createServer({ cert: readFileSync(cert), key: readFileSync(key) }, provider.callback()).listen(9443, "127.0.0.1");
