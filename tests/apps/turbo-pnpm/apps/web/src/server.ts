import { createServer } from "node:http";
import { greeting } from "greeting";

createServer((_, response) => response.end(greeting("turbo-pnpm"))).listen(Number(process.env.PORT));
