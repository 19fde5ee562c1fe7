import { createServer } from "node:http";
import { greeting } from "greeting";

createServer((_, response) => response.end(greeting("workspace-compiled"))).listen(Number(process.env.PORT));
