import dgram from "unix-dgram";

console.log(`sockets: ${typeof dgram.createSocket("unix_dgram").bind}`);
process.exit(0);
