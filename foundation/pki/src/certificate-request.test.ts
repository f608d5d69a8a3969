import { X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { parseSigningRequest } from "./certificate-request.ts";
import { createAuthority } from "./certificate.ts";

/** Made by OpenSSL: an EC key, no names; and an RSA key with names. */
const CLIENT = `-----BEGIN CERTIFICATE REQUEST-----
MIHrMIGSAgEAMDAxFTATBgNVBAoMDHN5c3RlbTpub2RlczEXMBUGA1UEAwwOc3lz
dGVtOm5vZGU6bjkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2h0iv3AnXfA4V
mAQBG+OVJp/S3sJ2zL13GbnUIQMd79XGI/U3tMUAJFhvnjuZzKhFrg7I3yyRopbo
aS4vAz2FoAAwCgYIKoZIzj0EAwIDSAAwRQIgCUcszHGUPHEp6HMY31gNECX+gd3k
CdeAVeJPnXRPj5wCIQCuZBRefrJ9hhiBS2xmeUbCyZGDQFbKH4WOslGP1+Ugcw==
-----END CERTIFICATE REQUEST-----`;
const SERVING = `-----BEGIN CERTIFICATE REQUEST-----
MIICrTCCAZUCAQAwMDEVMBMGA1UECgwMc3lzdGVtOm5vZGVzMRcwFQYDVQQDDA5z
eXN0ZW06bm9kZTpuOTCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAMBk
a5esyDcKlzHPCZ9oi8LfTqKXRpqdZZEaNB/ZMC+e+QQ4NAcHi6bxbG+oAZ7+zwdp
WXRyhp8PJm/I1uOtfl4rrf4ze0OYyiF/hKXRTupePHtz75GF1KzluFYVzKYZySHz
9CuQwTUf80XpX2uY1uOC//XbLe550bv6KAnEpDGOUUtSwSzZMOezB5hxJyXddqZ4
zkakbCUlApuGWpily6PHxA5NBZ+5GMtSBtef5PQHtMu+q1M/Xy+JcB9QxW8AO2DJ
kAjBFzVZ9Vs9KDZmyoHCBLOJ+yNeWLiIH13vBItLqNzT8RR/nVmMLk2GVVUpzYgi
HmnjmUy0tk2DjOzFSNMCAwEAAaA4MDYGCSqGSIb3DQEJDjEpMCcwJQYDVR0RBB4w
HIICbjmHBAoAAAmHEP0AAAAAAAAAAAAAAAAAAAkwDQYJKoZIhvcNAQELBQADggEB
AEIQMn7qudTj1iCTJqh5KsDItUGr9NfIPHjq3LycuyMa4o6/B3YWV1ZyAxvMuUR/
423I3NS1fZbQAXKmi8XM70xplbvMS8Ric81NzUICnlaeXXwogot8cSDDTFDVoXd0
LQ6JS+f8ZFm0fI8fg0lonsDcC659iLE3JNYTpbC3LGNqBDRLIssPVzc/Ay55VCCg
onfHdh1BvGwpI6rLlWFdil0BS9vmOuBg8N/2c7KqZY1WkDjsCKHYldKsWkbwW+Z7
qAJVYWyvrXg2nKr/1f4+jZfZCoUiK18/DEikGPu3/3x+2eRvXUhZeLXqWh3hQLsc
5F8QJTLrWxEWbTLN2UAuUyg=
-----END CERTIFICATE REQUEST-----`;

describe("a request for a certificate", () => {
  it("says who asks, by a key that signed it", () => {
    const request = parseSigningRequest(CLIENT);
    expect(request).toMatchObject({
      commonName: "system:node:n9",
      organizations: ["system:nodes"],
      dnsNames: [],
      ipAddresses: [],
    });
    expect(request.publicKey.asymmetricKeyType).toBe("ec");
  });
  it("names what the certificate is for", () => {
    const request = parseSigningRequest(SERVING);
    expect(request.publicKey.asymmetricKeyType).toBe("rsa");
    expect(request).toMatchObject({ dnsNames: ["n9"], ipAddresses: ["10.0.0.9", "fd00:0:0:0:0:0:0:9"], uris: [] });
  });
  it("can be certified", () => {
    const now = Date.parse("2026-01-01T00:00:00Z");
    const authority = createAuthority({ subject: { commonName: "ca" }, notBefore: now, notAfter: now + 1e9 });
    const { publicKey, commonName, organizations, dnsNames, ipAddresses } = parseSigningRequest(SERVING);
    const pem = authority.sign(
      {
        subject: { commonName, organizations },
        usages: ["server"],
        names: [...dnsNames, ...ipAddresses],
        notBefore: now,
        notAfter: now + 1e6,
      },
      publicKey,
    );
    const certificate = new X509Certificate(pem);
    expect(certificate.verify(new X509Certificate(authority.cert).publicKey)).toBe(true);
    expect(certificate.subject).toBe("O=system:nodes\nCN=system:node:n9");
    expect(certificate.checkIP("fd00::9")).toBe("fd00::9");
  });
  it("is refused when it is no request, is cut short, or was changed after it was signed", () => {
    expect(() => parseSigningRequest("nothing")).toThrow("PEM block type must be CERTIFICATE REQUEST");
    const cut = CLIENT.split("\n").toSpliced(2, 1).join("\n");
    expect(() => parseSigningRequest(cut)).toThrow();
    const lines = CLIENT.split("\n");
    const der = Buffer.from(lines.slice(1, -1).join(""), "base64");
    const at = der.indexOf("system:node:n9") + 13;
    der[at] = "8".charCodeAt(0);
    const forged = [lines[0], der.toString("base64"), lines.at(-1)].join("\n");
    expect(() => parseSigningRequest(forged)).toThrow("the request's signature is not that of its key");
  });
});
