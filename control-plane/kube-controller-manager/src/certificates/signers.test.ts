import type { SigningRequest } from "@coracle/pki";
import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { certificateUsages, isSigner, signerObjection, type SignerName } from "./signers.ts";

const { publicKey } = generateKeyPairSync("ed25519");
const node: SigningRequest = {
  commonName: "system:node:n1",
  organizations: ["system:nodes"],
  dnsNames: [],
  ipAddresses: [],
  emailAddresses: [],
  uris: [],
  publicKey,
};
const client = ["client auth", "digital signature"];
const server = ["server auth", "digital signature"];
const CLIENT = "kubernetes.io/kube-apiserver-client";
const KUBELET = "kubernetes.io/kube-apiserver-client-kubelet";
const SERVING = "kubernetes.io/kubelet-serving";

describe("what a signer will certify", () => {
  it.each<[string, SignerName, Partial<SigningRequest>, string[], string | undefined]>([
    ["a kubelet's client", KUBELET, {}, client, undefined],
    ["with key encipherment", KUBELET, {}, [...client, "key encipherment"], undefined],
    ["not for serving", KUBELET, {}, server, "usages did not match the expected usages"],
    ["not for more", KUBELET, {}, [...client, "server auth"], "usages did not match the expected usages"],
    ["not of another group", KUBELET, { organizations: ["a"] }, client, "subject organization is not system:nodes"],
    [
      "not of two groups",
      KUBELET,
      { organizations: ["system:nodes", "a"] },
      client,
      "subject organization is not system:nodes",
    ],
    [
      "not of another name",
      KUBELET,
      { commonName: "n1" },
      client,
      "subject common name does not begin with system:node: prefix",
    ],
    ["not with names", KUBELET, { dnsNames: ["n1"] }, client, "DNS subjectAltNames are not allowed"],
    ["not with addresses", KUBELET, { ipAddresses: ["10.0.0.1"] }, client, "IP subjectAltNames are not allowed"],
    ["a kubelet's server", SERVING, { ipAddresses: ["10.0.0.1"] }, server, undefined],
    ["not without names", SERVING, {}, server, "DNS or IP subjectAltName is required"],
    ["not with a URI", SERVING, { dnsNames: ["n1"], uris: ["a:b"] }, server, "URI subjectAltNames are not allowed"],
    ["any client", CLIENT, { commonName: "jane", organizations: ["dev"] }, ["client auth"], undefined],
    ["no server as a client", CLIENT, {}, ["client auth", "server auth"], "usages did not match the expected usages"],
  ])("%s", (_, signer, part, usages, objection) =>
    expect(signerObjection(signer, { ...node, ...part }, usages)).toBe(objection),
  );
  it("knows its own names and turns usages into purposes", () => {
    expect([KUBELET, "example.com/x"].map(isSigner)).toEqual([true, false]);
    expect(certificateUsages([...server, "client auth"])).toEqual(["client", "server"]);
  });
});
