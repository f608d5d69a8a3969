import { describe, expect, it } from "vitest";
import { proxiedLocation, withProxiedLinks } from "./proxied-links.ts";

const PREFIX = "/api/v1/namespaces/n/pods/p:80/proxy";

describe("links through a proxy", () => {
  it.each([
    ['<a href="/x">t</a>', `<a href="${PREFIX}/x">t</a>`],
    ["<IMG alt='a > b' SRC='/x.png'>", `<IMG alt='a > b' SRC='${PREFIX}/x.png'>`],
    ["<form action=/go>", `<form action=${PREFIX}/go>`],
    ['<a href="x">', '<a href="x">'],
    ['<a href="//h/x">', '<a href="//h/x">'],
    ['<a href="https://h/x">', '<a href="https://h/x">'],
    ['<p title="/x">href="/y"', '<p title="/x">href="/y"'],
    [`<a href="${PREFIX}/x">`, `<a href="${PREFIX}/x">`],
  ])("%s becomes %s", (from, to) => {
    expect(withProxiedLinks(from, PREFIX)).toBe(to);
  });

  it.each([
    ["/login", `${PREFIX}/login`],
    ["http://10.0.0.1:80/a?b", `${PREFIX}/a?b`],
    ["http://10.0.0.1:80", `${PREFIX}/`],
    ["http://elsewhere/a", "http://elsewhere/a"],
    ["next", "next"],
  ])("a redirect to %s leads to %s", (from, to) => {
    expect(proxiedLocation(from, PREFIX, "10.0.0.1:80")).toBe(to);
  });
});
