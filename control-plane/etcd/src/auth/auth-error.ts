import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";

const refusal =
  (code: number, text: string): (() => GrpcError) =>
  () =>
    new GrpcError(code, text);
const { failedPrecondition, invalidArgument, permissionDenied, unauthenticated, unknown } = grpcCode;

/** What etcd answers when users, roles and permissions do not allow something. */
export const authError = {
  rootUserNotExist: refusal(failedPrecondition, "etcdserver: root user does not exist"),
  rootRoleNotExist: refusal(failedPrecondition, "etcdserver: root user does not have root role"),
  userAlreadyExist: refusal(failedPrecondition, "etcdserver: user name already exists"),
  userEmpty: refusal(invalidArgument, "etcdserver: user name is empty"),
  userNotFound: refusal(failedPrecondition, "etcdserver: user name not found"),
  roleAlreadyExist: refusal(failedPrecondition, "etcdserver: role name already exists"),
  roleNotFound: refusal(failedPrecondition, "etcdserver: role name not found"),
  roleEmpty: refusal(invalidArgument, "etcdserver: role name is empty"),
  authFailed: refusal(invalidArgument, "etcdserver: authentication failed, invalid user ID or password"),
  noPasswordUser: refusal(unknown, "auth: authentication failed, password was given for no password user"),
  permissionNotGiven: refusal(invalidArgument, "etcdserver: permission not given"),
  permissionDenied: refusal(permissionDenied, "etcdserver: permission denied"),
  roleNotGranted: refusal(failedPrecondition, "etcdserver: role is not granted to the user"),
  permissionNotGranted: refusal(failedPrecondition, "etcdserver: permission is not granted to the role"),
  authNotEnabled: refusal(failedPrecondition, "etcdserver: authentication is not enabled"),
  invalidAuthToken: refusal(unauthenticated, "etcdserver: invalid auth token"),
  invalidAuthManagement: refusal(invalidArgument, "etcdserver: invalid auth management"),
  oldRevision: refusal(invalidArgument, "etcdserver: revision of auth store is old"),
} as const;
