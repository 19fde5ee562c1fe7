import { createServer } from "node:http";
import ms from "ms";

const minute: number = ms("1m");

createServer((_, response) => response.end(`hello from typescript-compiled, ${minute}`)).listen(Number(process.env.PORT));
