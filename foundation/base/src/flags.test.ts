import { describe, expect, it } from "vitest";
import { flag, parseFlags } from "./flags.ts";

const FLAGS = {
  kubeconfig: flag.string("kubeconfig", undefined),
  mode: flag.choice("proxy-mode", "iptables", ["iptables", "nftables"]),
  hosts: flag.list("hosts"),
  leaderElect: flag.boolean("leader-elect", true),
  verbosity: flag.number(["v", "verbosity"], 0),
  periodMs: flag.durationMs("period", 10_000),
};
const parse = (...argv: string[]) => parseFlags(FLAGS, argv);

describe("flags", () => {
  it("have defaults", () =>
    expect(parse()).toEqual({
      kubeconfig: undefined,
      mode: "iptables",
      hosts: [],
      leaderElect: true,
      verbosity: 0,
      periodMs: 10_000,
    }));
  it("take values in both ways, and switches alone", () => {
    expect(
      parse(
        "--kubeconfig",
        "f",
        "--v=4",
        "--leader-elect=false",
        "--hosts=a,b",
        "--period=1m30s",
        "--proxy-mode=nftables",
      ),
    ).toEqual({
      kubeconfig: "f",
      mode: "nftables",
      hosts: ["a", "b"],
      leaderElect: false,
      verbosity: 4,
      periodMs: 90_000,
    });
    expect(parse("--leader-elect", "-v", "2")).toMatchObject({ leaderElect: true, verbosity: 2 });
  });
  it.each([
    [["--nope"], "unknown flag: --nope"],
    [["word"], 'unexpected argument "word"'],
    [["--kubeconfig"], "flag needs an argument: --kubeconfig"],
    [["--v=x"], 'invalid argument "x" for "--v" flag'],
    [["--period=5"], 'invalid argument "5" for "--period" flag'],
    [["--proxy-mode=ipvs"], 'invalid argument "ipvs" for "--proxy-mode" flag'],
    [["--leader-elect=maybe"], 'invalid argument "maybe" for "--leader-elect" flag'],
  ])("%j is refused in one line", (argv, message) => expect(() => parse(...argv)).toThrow(message));
});
