require("resizer").serve(process.env.PORT);
