import { createServer } from "node:http";
import { greeting } from "greeting";

createServer((_, response) => response.end(greeting("yarn-workspaces"))).listen(Number(process.env.PORT));
