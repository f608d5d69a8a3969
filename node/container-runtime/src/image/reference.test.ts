import { describe, expect, it } from "vitest";
import { formatImageReference, parseImageReference } from "./reference.ts";

const D = `sha256:${"a".repeat(64)}`;

describe("image references are read as Docker reads them", () => {
  it.each([
    ["busybox", "docker.io/library/busybox:latest"],
    ["busybox:1.36", "docker.io/library/busybox:1.36"],
    ["user/app", "docker.io/user/app:latest"],
    ["index.docker.io/app", "docker.io/library/app:latest"],
    ["localhost/app", "localhost/app:latest"],
    ["127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1"],
    ["registry.k8s.io/pause", "registry.k8s.io/pause:latest"],
    [`busybox@${D}`, `docker.io/library/busybox@${D}`],
    [`busybox:1@${D}`, `docker.io/library/busybox@${D}`],
    ["[::1]:5000/x", "[::1]:5000/x:latest"],
  ])("%s is %s", (text, full) => {
    expect(formatImageReference(parseImageReference(text))).toBe(full);
  });

  it.each(["", "UPPER", "a//b", "a:b:c", "x@sha256:12", "a b", "-x", "foo:", "d/../e"])("refuses %j", (text) => {
    expect(() => parseImageReference(text)).toThrow(/invalid reference format/);
  });
});
