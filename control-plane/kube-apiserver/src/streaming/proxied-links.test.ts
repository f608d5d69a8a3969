import { describe, expect, it } from "vitest";
import { cleanPath, proxiedUrl, withProxiedLinks, type ProxiedPage } from "./proxied-links.ts";

const PREFIX = "/api/v1/namespaces/n/pods/p:80/proxy";
const PAGE: ProxiedPage = { prefix: PREFIX, hosts: ["10.0.0.1:80", "api:6443"] };

describe("links through a proxy", () => {
  it.each([
    ['<a href="/x">t</a>', `<a href="${PREFIX}/x">t</a>`],
    ["<IMG alt='a > b' SRC='/x.png'>", `<IMG alt='a > b' SRC='${PREFIX}/x.png'>`],
    ["<form action=/go>", `<form action=${PREFIX}/go>`],
    ['<a href="x">', '<a href="x">'],
    ['<a href="//h/x">', '<a href="//h/x">'],
    ['<a href="//10.0.0.1:80/x">', `<a href="${PREFIX}/x">`],
    ['<a href="https://h/x">', '<a href="https://h/x">'],
    ['<a href="mailto:/x">', '<a href="mailto:/x">'],
    ['<p title="/x">href="/y"', '<p title="/x">href="/y"'],
    ['<p href="/x">', '<p href="/x">'],
    [`<a href="${PREFIX}/x">`, `<a href="${PREFIX}/x">`],
    ['<!-- <a href="/x"> --><br/>', '<!-- <a href="/x"> --><br/>'],
    [
      `<script src="/s.js">a = '<a href="/x">';</script><a href="/y">`,
      `<script src="${PREFIX}/s.js">a = '<a href="/x">';</script><a href="${PREFIX}/y">`,
    ],
    ['<script>unfinished <a href="/x">', '<script>unfinished <a href="/x">'],
    ['<object data="/d" title="/t">', `<object data="${PREFIX}/d" title="/t">`],
  ])("%s becomes %s", (from, to) => {
    expect(withProxiedLinks(from, PAGE)).toBe(to);
  });

  it.each([
    ["/login", `${PREFIX}/login`],
    ["/a//b/../c/", `${PREFIX}/a/c/`],
    ["http://10.0.0.1:80/a?b#c", `${PREFIX}/a?b#c`],
    ["http://10.0.0.1:80", "http://10.0.0.1:80"],
    ["https://api:6443/a", `https://api:6443${PREFIX}/a`],
    ["http://elsewhere/a", "http://elsewhere/a"],
    ["next", "next"],
  ])("a redirect to %s leads to %s", (from, to) => {
    expect(proxiedUrl(from, PAGE)).toBe(to);
  });

  it("links of a page that has an origin name it", () => {
    const page: ProxiedPage = { prefix: "", origin: "https://api.default.svc", hosts: [] };
    expect(withProxiedLinks('<a href="/x?y">', page)).toBe('<a href="https://api.default.svc/x?y">');
  });

  it.each([
    ["/", "/"],
    ["//a/./b//", "/a/b/"],
    ["/../../etc", "/etc"],
    ["/a/..", "/"],
  ])("the path %s is %s", (from, to) => {
    expect(cleanPath(from)).toBe(to);
  });
});
