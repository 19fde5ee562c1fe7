const ms = require("ms");

exports.greet = (whom) => `hello from ${whom}, cached for ${ms(60000)}`;
