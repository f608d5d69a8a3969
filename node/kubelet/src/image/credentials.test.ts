import type { Secret } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { normalizeImage, pullCredentials } from "./credentials.ts";

describe("image names", () => {
  it.each([
    ["busybox", "docker.io/library/busybox:latest"],
    ["team/app:1", "docker.io/team/app:1"],
    ["localhost/app", "localhost/app:latest"],
    ["127.0.0.1:5000/lib/app:2", "127.0.0.1:5000/lib/app:2"],
    [`r.example.com/a@sha256:${"0".repeat(64)}`, `r.example.com/a@sha256:${"0".repeat(64)}`],
  ])("%s stands for %s", (image, expected) => expect(normalizeImage(image)).toBe(expected));

  it.each(["", "BAD//x", "UPPER/case", "a b"])("%j is none", (image) =>
    expect(() => normalizeImage(image)).toThrow("invalid reference format"),
  );
});

describe("pull secrets", () => {
  const secret = (auths: object): Secret => ({
    metadata: { name: "s" },
    data: { ".dockerconfigjson": Buffer.from(JSON.stringify({ auths })).toString("base64") },
  });
  const auth = Buffer.from("me:pw:x").toString("base64");

  it.each([
    ["https://index.docker.io/v1/", "docker.io/library/busybox:latest", true],
    ["r.example.com", "r.example.com/a:1", true],
    ["*.example.com", "r.example.com/a:1", true],
    ["*.example.com", "example.org/a:1", false],
    ["r.example.com/team", "r.example.com/team/a:1", true],
    ["r.example.com/team", "r.example.com/other/a:1", false],
    ["r.example.com:5000", "r.example.com/a:1", false],
  ])("for %s fit %s: %s", (key, image, fits) => {
    const found = pullCredentials(image, [secret({ [key]: { auth } })]);
    expect(found.map(({ username, password }) => [username, password])).toEqual(fits ? [["me", "pw:x"]] : []);
  });
});
