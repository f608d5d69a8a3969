/** The server has too much to do; the client may come again after so many seconds. Answered as plain text. */
export class TooManyRequests extends Error {
  readonly retryAfterSeconds: number;

  constructor(retryAfterSeconds: number, message = "Too many requests, please try again later.") {
    super(message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
