import { Hono } from "hono";

const app = new Hono();
app.get("/", (context) => context.text("hello from hono-bun"));

export default { port: Number(process.env.PORT), fetch: app.fetch };
