// node-opcua's client against a face: walks the plant's tree, reads every attribute that a SCADA master relies on,
// writes, calls, subscribes. Prints one JSON document. Usage: node opcua_walk.js URL
"use strict";
const {
  OPCUAClient, MessageSecurityMode, SecurityPolicy, AttributeIds, BrowseDirection, NodeClass, DataType, VariantArrayType,
  TimestampsToReturn, ClientMonitoredItemGroup, makeBrowsePath,
} = require("node-opcua-client");

const NAMESPACE = "urn:bess-controller:points";
const url = process.argv[2];

async function connected(work) {
  const client = OPCUAClient.create({
    securityMode: MessageSecurityMode.None, securityPolicy: SecurityPolicy.None,
    endpointMustExist: false, connectionStrategy: { maxRetry: 0 },
  });
  await client.connect(url);
  const session = await client.createSession();
  try { return await work(session); } finally { await session.close(); await client.disconnect(); }
}

// Every node below Plant by NodeId; each with its path of browse names.
async function walk(session) {
  const found = new Map();
  let waiting = [["ns=2;s=Plant", ["2:Plant"]]];
  while (waiting.length) {
    const some = waiting.slice(0, 500);
    waiting = waiting.slice(500);
    const results = await session.browse(some.map(([nodeId]) => ({
      nodeId, browseDirection: BrowseDirection.Forward, referenceTypeId: "HierarchicalReferences", includeSubtypes: true,
      nodeClassMask: 0, resultMask: 63,
    })));
    some.forEach(([nodeId, path], i) => {
      if (results[i].statusCode.name !== "Good") throw new Error(`${nodeId}: ${results[i].statusCode.name}`);
      for (const r of results[i].references || []) {
        const here = [...path, `${r.browseName.namespaceIndex}:${r.browseName.name}`];
        found.set(r.nodeId.toString(), { path: here, nodeClass: NodeClass[r.nodeClass] });
        waiting.push([r.nodeId.toString(), here]);
      }
    });
  }
  return found;
}

function shown(dataValue) {
  const { value, statusCode, sourceTimestamp } = dataValue;
  const isArray = value.arrayType === VariantArrayType.Array;
  return {
    status: statusCode.name, type: DataType[value.dataType], value: isArray ? Array.from(value.value) : value.value,
    source: sourceTimestamp ? sourceTimestamp.getTime() : null,
  };
}

async function values(session, nodeIds) {
  const out = {};
  for (let first = 0; first < nodeIds.length; first += 1000) {
    const some = nodeIds.slice(first, first + 1000);
    const read = await session.read(some.map((nodeId) => ({ nodeId, attributeId: AttributeIds.Value })));
    some.forEach((nodeId, i) => { out[nodeId] = shown(read[i]); });
  }
  return out;
}

async function writes(session) {
  const write = (tag, dataType, value) => session.write({
    nodeId: `ns=2;s=${tag}`, attributeId: AttributeIds.Value, value: { value: { dataType, value } },
  });
  const together = await session.write([
    { nodeId: "ns=2;s=Plant.ActivePowerSetpoint", attributeId: 13, value: { value: { dataType: DataType.Double, value: 1.5 } } },
    { nodeId: "ns=2;s=Plant.ActivePower", attributeId: 13, value: { value: { dataType: DataType.Double, value: 1.5 } } },
    { nodeId: "ns=2;s=Plant.NoSuch", attributeId: 13, value: { value: { dataType: DataType.Double, value: 1.5 } } },
  ]);
  return {
    good: (await write("Plant.ActivePowerSetpoint", DataType.Double, 1.5)).name,
    nan: (await write("Plant.ActivePowerSetpoint", DataType.Double, NaN)).name,
    infinite: (await write("Plant.ActivePowerSetpoint", DataType.Double, Infinity)).name,
    beyond: (await write("Plant.ActivePowerSetpoint", DataType.Double, 1e6)).name,
    wrongType: (await write("Plant.ActivePowerSetpoint", DataType.String, "1.5")).name,
    readOnly: (await write("Plant.ActivePower", DataType.Double, 1.5)).name,
    together: together.map((status) => status.name),
  };
}

async function calls(session) {
  const call = async (object, method, inputArguments) => {
    const result = await session.call({ objectId: `ns=2;s=${object}`, methodId: `ns=2;s=${object}.${method}`, inputArguments });
    return { status: result.statusCode.name, message: (result.outputArguments[0] || {}).value };
  };
  const reason = [{ dataType: DataType.String, value: "maintenance" }];
  return {
    start: await call("Plant", "Start", []),
    lockOut: await call("Plant.Block01.Rack03", "LockOut", reason),
    missing: await call("Plant.Block01.Rack03", "LockOut", []),
    tooMany: await call("Plant", "Start", reason),
    arguments: (await session.getArgumentDefinition("ns=2;s=Plant.Block01.Rack03.LockOut")).inputArguments.map((a) => a.name),
  };
}

async function monitored(session, tags) {
  const subscription = await session.createSubscription2({
    requestedPublishingInterval: 200, requestedLifetimeCount: 100, requestedMaxKeepAliveCount: 10,
    maxNotificationsPerPublish: 1000, publishingEnabled: true, priority: 0,
  });
  const seen = {};
  const group = ClientMonitoredItemGroup.create(
    subscription, tags.map((tag) => ({ nodeId: `ns=2;s=${tag}`, attributeId: AttributeIds.Value })),
    { samplingInterval: 200, discardOldest: true, queueSize: 10 }, TimestampsToReturn.Both,
  );
  await new Promise((resolve) => {
    group.on("changed", (item, dataValue) => {
      seen[item.itemToMonitor.nodeId.value] = shown(dataValue);
      if (Object.keys(seen).length === tags.length) resolve();
    });
  });
  await subscription.terminate();
  return seen;
}

connected(async (session) => {
  const namespaces = await session.readNamespaceArray();
  const nodes = await walk(session);
  const variables = [...nodes].filter(([, node]) => node.nodeClass === "Variable").map(([id]) => id);
  const paths = ["/Objects/2:Plant/2:Block01/2:Rack03/2:SoC", "/Objects/2:Plant/2:Nowhere"];
  const found = await session.translateBrowsePath(paths.map((path) => makeBrowsePath("RootFolder", path)));
  return {
    namespace: namespaces.indexOf(NAMESPACE),
    nodes: Object.fromEntries(nodes),
    values: await values(session, variables),
    unknown: shown(await session.read({ nodeId: "ns=2;s=Plant.Nowhere", attributeId: AttributeIds.Value })),
    translated: found.map((result) => ({ status: result.statusCode.name, target: (result.targets || []).map((t) => t.targetId.toString()) })),
    writes: await writes(session),
    calls: await calls(session),
    monitored: await monitored(session, ["Plant.ActivePower", "Plant.Block01.Rack03.CellVoltages"]),
  };
}).then(
  (answer) => { process.stdout.write(JSON.stringify(answer, (_, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v)), () => process.exit(0)); },
  (error) => { console.error(error); process.exit(1); },
);
