// Dawn behind a pipe: node dawn.mjs PATH/OF/webgpu/index.js
//
// The first line that it writes says what the device is and has, or {"error": why} where there is none. Each line that it reads is one of
//
//   {"wgsl": text}                    it answers {} if Tint accepts the text
//   {"texts": [text, ..],             it runs the steps in order and answers {"buffers": [[word, ..], ..]}
//    "buffers": [[word, ..], ..],     contents, as 32-bit words
//    "steps": [{"text": index, "grid": [x, y], "params": [word, ..],
//               "bindings": [{"binding": number, "buffer": index, "offset": bytes, "size": bytes}, ..]}, ..]}
//
// and {"error": what Dawn says} where something is wrong.

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { create, globals } = await import(pathToFileURL(process.argv[2]));
Object.assign(globalThis, globals);

const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

// Held to the end: a device does not outlive what it came from.
const gpu = create([]);

async function open() {
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw Error("Dawn finds no adapter");
  const requiredFeatures = ["shader-f16", "subgroups"].filter((feature) => adapter.features.has(feature));
  return adapter.requestDevice({ requiredFeatures });
}

async function compile(device, { wgsl }) {
  device.createShaderModule({ code: wgsl });
}

async function run(device, { texts, buffers, steps }) {
  const { STORAGE, UNIFORM, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const filled = (words, usage) => {
    const buffer = device.createBuffer({ size: 4 * words.length, usage, mappedAtCreation: true });
    new Uint32Array(buffer.getMappedRange()).set(words);
    buffer.unmap();
    return buffer;
  };
  const pipelines = texts.map((code) => {
    const module = device.createShaderModule({ code });
    return device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  });
  const held = buffers.map((words) => filled(words, STORAGE | COPY_SRC));
  const encoder = device.createCommandEncoder();
  for (const { text, grid, params, bindings } of steps) {
    const pass = encoder.beginComputePass();
    const entry = ({ binding, buffer, offset, size }) => ({ binding, resource: { buffer: held[buffer], offset, size } });
    const uniform = { binding: 0, resource: { buffer: filled(params, UNIFORM) } };
    const layout = pipelines[text].getBindGroupLayout(0);
    pass.setPipeline(pipelines[text]);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries: [uniform, ...bindings.map(entry)] }));
    pass.dispatchWorkgroups(...grid);
    pass.end();
  }
  const read = held.map(({ size }) => device.createBuffer({ size, usage: MAP_READ | COPY_DST }));
  held.forEach((buffer, index) => encoder.copyBufferToBuffer(buffer, 0, read[index], 0, buffer.size));
  device.queue.submit([encoder.finish()]);
  const words = async (buffer) => {
    await buffer.mapAsync(GPUMapMode.READ);
    return [...new Uint32Array(buffer.getMappedRange())];
  };
  const results = { buffers: await Promise.all(read.map(words)) };
  [...held, ...read].forEach((buffer) => buffer.destroy());
  return results;
}

async function answer(device, question) {
  device.pushErrorScope("validation");
  const result = await (question.wgsl ? compile : run)(device, question).catch(({ message }) => ({ error: message }));
  const error = await device.popErrorScope();
  return error ? { error: error.message } : (result ?? {});
}

const device = await open().catch(({ message }) => (say({ error: message }), process.exit()));
const { description, subgroupMinSize, subgroupMaxSize } = device.adapterInfo;
say({ adapter: description, features: [...device.features], subgroups: [subgroupMinSize, subgroupMaxSize] });
for await (const line of createInterface({ input: process.stdin })) {
  say(await answer(device, JSON.parse(line)));
}
process.exit();
