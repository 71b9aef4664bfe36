// Reads and writes without waiting for answers, as event-driven clients do; prints what came back as JSON.
// usage: node modbus_pipelined.js PORT UNIT
const ModbusRTU = require("modbus-serial");

async function main(port, unit) {
  const client = new ModbusRTU();
  await client.connectTCP("127.0.0.1", { port });
  client.setID(unit);
  client.setTimeout(5000);
  const asked = [];
  for (let n = 0; n < 30; n += 1) {
    asked.push(client.readHoldingRegisters(0, 4).then((answer) => answer.data));
    if (n % 3 === 0) asked.push(client.writeRegister(3, n).then((answer) => answer.value));
  }
  asked.push(client.readHoldingRegisters(20, 1).catch((error) => error.modbusCode));
  console.log(JSON.stringify(await Promise.all(asked)));
  client.close(() => process.exit(0));
}

main(Number(process.argv[2]), Number(process.argv[3])).catch((error) => {
  console.error(error);
  process.exit(1);
});
