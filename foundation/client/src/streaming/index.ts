/**
 * The streaming protocols behind `kubectl exec`, `attach`, `cp` and `port-forward`: WebSocket and SPDY/3.1, server and client side.
 * Every buffer is bounded; back-pressure goes through to the process or the port at the other end.
 */
export {
  acceptPortForwardTunnel,
  servePortForward,
  type PortForwardConnect,
  type PortForwardOptions,
} from "./port-forward.ts";
export {
  remoteCommandStreams,
  serveRemoteCommand,
  type RemoteCommandOptions,
  type RemoteCommandSession,
  type RemoteCommandStart,
  type RemoteCommandStreams,
} from "./remote-command.ts";
export {
  connectPortForward,
  connectRemoteCommand,
  type PortForwardClient,
  type RemoteCommand,
  type StreamTarget,
} from "./stream-client.ts";
export type { TerminalSize } from "./terminal-sizes.ts";
export { joinConnections, refuseUpgrade, requestUpgrade, tunnelUpgrade, UpgradeRefusedError } from "./upgrade.ts";
