import assert from "node:assert/strict";
import {
  createHostSampler,
  parseCpuTimes,
  parseLoad1,
  parseMemory,
  parseTemperature,
  parseThrottled,
} from "../../lib/metrics/host_sampler.ts";

const stat = (user: number, idle: number, iowait = 0) =>
  `cpu  ${user} 0 0 ${idle} ${iowait} 0 0 0 0 0
cpu0 1393280 32966 572056 13343292 6130 0 17875 0 23933 0
cpu1 1335498 28612 576064 13416020 8055 0 1866 0 19812 0
intr 8885917 17 0 0 0
ctxt 17338113
btime 1795406400
procs_running 1
`;

const piMemory = `MemTotal:        3884396 kB
MemFree:         2213384 kB
MemAvailable:    3332908 kB
Buffers:           56660 kB
Cached:          1103176 kB
SwapCached:            0 kB
SwapTotal:        102396 kB
`;

const piFiles: Record<string, string> = {
  "/proc/stat": stat(1000, 9000),
  "/proc/loadavg": "0.52 0.58 0.59 1/467 12345\n",
  "/proc/meminfo": piMemory,
  "/sys/class/thermal/thermal_zone0/temp": "48686\n",
  "/sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
};

const runtime = () => ({ load1: 1.5, memoryTotalBytes: 8e9, memoryUsedBytes: 2e9 });

Deno.test("`parseCpuTimes()` counts iowait as idle and guests once", () => {
  assert.deepEqual(parseCpuTimes("cpu  100 10 50 800 40 5 5 10 60 6\n"), { busy: 180, total: 1020 });
  assert.deepEqual(parseCpuTimes("cpu 1 2 3 4\n"), { busy: 6, total: 10 });
  for (const odd of [undefined, "", "cpu0 1 2 3 4\n", "cpu  a b c d\n", "cpu  1 2\n"]) {
    assert.equal(parseCpuTimes(odd), undefined);
  }
});

Deno.test("`parseMemory()` reads a Pi's meminfo, and an old kernel's without MemAvailable", () => {
  assert.deepEqual(parseMemory(piMemory), {
    totalBytes: 3884396 * 1024,
    usedBytes: (3884396 - 3332908) * 1024,
  });
  const old = piMemory.replace(/MemAvailable.*\n/, "");
  assert.equal(parseMemory(old)?.usedBytes, (3884396 - 2213384 - 56660 - 1103176) * 1024);
  assert.equal(parseMemory("MemFree: 5 kB\n"), undefined);
  assert.equal(parseMemory(undefined), undefined);
});

Deno.test("`parseTemperature()` reads thousandths and leaves broken sensors out", () => {
  assert.equal(parseTemperature("48686\n"), 48.686);
  assert.equal(parseTemperature("-5000\n"), -5);
  for (const odd of ["0\n", "-274000\n", "255000\n", "", "n/a", undefined]) {
    assert.equal(parseTemperature(odd), undefined);
  }
});

Deno.test("`parseThrottled()` tells being throttled now from having been", () => {
  assert.equal(parseThrottled("50005\n"), true);
  assert.equal(parseThrottled("0x8\n"), true);
  assert.equal(parseThrottled("50000\n"), false);
  assert.equal(parseThrottled("0\n"), false);
  assert.equal(parseThrottled("?"), undefined);
  assert.equal(parseThrottled(undefined), undefined);
});

Deno.test("`parseLoad1()` takes the first number only", () => {
  assert.equal(parseLoad1("0.52 0.58 0.59 1/467 12345\n"), 0.52);
  assert.equal(parseLoad1("nonsense"), undefined);
});

Deno.test("a Pi's sample has everything, with the CPU's share since the last one", () => {
  const files = { ...piFiles };
  const sampler = createHostSampler({ readText: (path) => files[path], cores: 4, runtime });
  files["/proc/stat"] = stat(1100, 9300);
  assert.deepEqual(sampler.sample(), {
    cpu: 0.25,
    load1: 0.52,
    memoryTotalBytes: 3884396 * 1024,
    memoryUsedBytes: (3884396 - 3332908) * 1024,
    temperatureC: 48.686,
    throttled: true,
  });
  files["/proc/stat"] = stat(1200, 9300);
  assert.equal(sampler.sample().cpu, 1);
  assert.equal(sampler.sample().cpu, 1, "no time has passed: the last share stands");
  files["/proc/stat"] = stat(1200, 9500, -50);
  assert.equal(sampler.sample().cpu, 0, "iowait may run backwards");
  files["/proc/stat"] = stat(1201, 9502, -50);
  const share = sampler.sample().cpu;
  assert.ok(JSON.stringify(share).length <= 6, `${share}: more digits would only make telemetry longer`);
});

Deno.test("the hottest thermal zone counts", () => {
  const files = { ...piFiles, "/sys/class/thermal/thermal_zone3/temp": "71000\n" };
  const sampler = createHostSampler({
    readText: (path) => files[path as keyof typeof files],
    cores: 4,
    runtime,
  });
  assert.equal(sampler.sample().temperatureC, 71);
});

Deno.test("a system without /proc and /sys is sampled from what the runtime knows", () => {
  const sampler = createHostSampler({ readText: () => undefined, cores: 2, runtime });
  assert.deepEqual(sampler.sample(), { cpu: 0.75, load1: 1.5, memoryTotalBytes: 8e9, memoryUsedBytes: 2e9 });
});

Deno.test("this machine's own files can be sampled", () => {
  const sampler = createHostSampler({ cores: navigator.hardwareConcurrency });
  const sample = sampler.sample();
  assert.ok(sample.memoryTotalBytes > sample.memoryUsedBytes && sample.memoryUsedBytes > 0);
  assert.ok(sample.cpu >= 0 && sample.cpu <= 1 && sample.load1 >= 0);
});
