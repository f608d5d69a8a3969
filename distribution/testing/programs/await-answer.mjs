// await-answer.mjs URL SECONDS: ends with 0 as soon as URL answers anything.
const [url, seconds] = process.argv.slice(2);
const end = performance.now() + Number(seconds) * 1000;
for (;;) {
  try {
    await (await fetch(url)).arrayBuffer();
    process.exit(0);
  } catch (error) {
    if (performance.now() > end) {
      console.error(`${url}: ${error.cause?.message ?? error.message}`);
      process.exit(1);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
