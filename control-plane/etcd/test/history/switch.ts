import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A machine on a switch: a network namespace that lives as long as its first process. */
export interface Host {
  readonly address: string;
  /** Put before a program, it runs there. */
  readonly within: readonly string[];
}

/**
 * Hosts on one switch in the network namespace of this process, which has no way out of it. Pairs of hosts can be kept apart, and hosts
 * taken from the net.
 */
export class Switch implements AsyncDisposable {
  readonly hosts: Host[] = [];
  readonly #children: ChildProcess[] = [];
  #cuts: (readonly [Host, Host])[] = [];

  static async create(hosts: number): Promise<Switch> {
    const net = new Switch();
    await ip("link add switch type bridge");
    await ip("addr add 10.99.0.254/24 dev switch");
    await ip("link set switch up");
    // oxlint-disable-next-line no-await-in-loop
    for (let n = 1; n <= hosts; n++) await net.#add(n);
    return net;
  }

  async #add(n: number): Promise<void> {
    const child = spawn("unshare", ["--net", "sh", "-c", "echo up; exec sleep infinity"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    this.#children.push(child);
    await once(child.stdout, "data");
    const host: Host = {
      address: `10.99.0.${n}`,
      within: ["nsenter", `--net=/proc/${child.pid}/ns/net`, "--"],
    };
    await ip(`link add port${n} type veth peer name eth0 netns ${child.pid}`);
    await ip(`link set port${n} master switch up`);
    for (const line of ["link set lo up", `addr add ${host.address}/24 dev eth0`, "link set eth0 up"]) {
      // oxlint-disable-next-line no-await-in-loop
      await ip(line, host);
    }
    this.hosts.push(host);
  }

  /** Neither hears of the other. */
  async cut(a: Host, b: Host): Promise<void> {
    this.#cuts.push([a, b]);
    await ip(`route add blackhole ${b.address}/32`, a);
    await ip(`route add blackhole ${a.address}/32`, b);
  }

  /** Nobody hears of the host. */
  async unplug(host: Host): Promise<void> {
    await ip(`link set port${this.hosts.indexOf(host) + 1} down`);
  }

  /** Everybody hears of everybody again. */
  async heal(): Promise<void> {
    for (const [a, b] of this.#cuts.splice(0)) {
      await ip(`route del blackhole ${b.address}/32`, a);
      await ip(`route del blackhole ${a.address}/32`, b);
    }
    for (let n = 1; n <= this.hosts.length; n++) await ip(`link set port${n} up`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    }
    await ip("link del switch");
  }
}

async function ip(line: string, host?: Host): Promise<void> {
  const [program = "", ...args] = [...(host?.within ?? []), "ip", ...line.split(" ")];
  await run(program, args);
}
