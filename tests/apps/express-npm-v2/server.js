// The least that shows express was found.
const express = require("express");

const app = express();
app.get("/", (request, response) => response.send("hello from express-npm-v2"));
app.listen(process.env.PORT);
