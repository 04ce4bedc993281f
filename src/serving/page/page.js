"use strict";

// Sends pictures that are chosen, dropped, pasted or taken to /predict, and shows what comes back. Text goes in as text:
// names of files and classes are never markup.

const $ = (id) => document.getElementById(id);
const LONGER = 1024; // pixels of the longer side of what the camera takes: networks see less
let explains = false;

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function fullName({ class: label, words }) {
  return words ? `${words} (${label})` : label;
}

function say(text, wrong) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", Boolean(wrong));
}

async function ask(file, name) {
  const headers = { "content-type": file.type || "application/octet-stream" };
  if ($("token").value) headers.authorization = `Bearer ${$("token").value}`;
  const explain = explains && $("explain").checked;
  const response = await fetch(`predict?explain=${explain ? 1 : 0}`, { method: "POST", headers, body: file });
  const answer = await response.json().catch(() => ({ error: `status ${response.status}` }));
  if (!response.ok) throw new Error(answer.error);
  show(file, name, answer);
}

async function askAll(files) {
  let done = 0;
  const failures = [];
  say(`Looking at ${files.length === 1 ? "the picture" : files.length + " pictures"} …`);
  for (const file of files) {
    const name = file.name || "picture";
    try {
      await ask(file, name);
      done += 1;
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
    }
  }
  if (failures.length) say(failures.join("; "), true);
  else say(done === 1 ? "1 answer." : `${done} answers.`);
}

function show(file, name, answer) {
  const [{ predictions, seen, heat_map: heat }] = answer.images;
  const picture = make("div", { className: "picture" });
  const source = seen || URL.createObjectURL(file);
  picture.append(make("img", { src: source, alt: seen ? `What the network saw of ${name}` : name }));
  if (heat) picture.append(make("img", { src: heat, alt: `Heat map: what speaks for ${fullName(predictions[0])}` }));
  const list = make("ol", {});
  for (const prediction of predictions) {
    const share = `${(100 * prediction.probability).toFixed(1)} %`;
    const bar = make("progress", { max: 1, value: prediction.probability });
    bar.setAttribute("aria-label", `Probability of ${fullName(prediction)}`);
    list.append(make("li", {}, make("span", { textContent: fullName(prediction) }), make("span", { textContent: share }), bar));
  }
  const time = make("p", { textContent: `${answer.milliseconds} ms on the server` });
  const found = make("div", { className: "found" }, make("h3", { textContent: name }), list, time);
  $("none").hidden = true;
  $("results").prepend(make("article", {}, picture, found));
}

function takeFiles(list) {
  const files = [...list];
  if (files.length) askAll(files);
}

async function toggleCamera() {
  const opened = $("viewfinder").hidden;
  if (!opened) return closeCamera();
  try {
    $("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
    await $("video").play(); // from here on it has a size
  } catch (error) {
    return say(`The camera cannot be used: ${error.message}`, true);
  }
  $("viewfinder").hidden = false;
  $("camera").setAttribute("aria-expanded", "true");
  $("shoot").focus();
}

function closeCamera() {
  for (const track of $("video").srcObject.getTracks()) track.stop();
  $("video").srcObject = null;
  $("viewfinder").hidden = true;
  $("camera").setAttribute("aria-expanded", "false");
  $("camera").focus();
}

function shoot() {
  const video = $("video");
  const scale = Math.min(1, LONGER / Math.max(video.videoWidth, video.videoHeight));
  const canvas = make("canvas", { width: scale * video.videoWidth, height: scale * video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => takeFiles([new File([blob], "camera.jpg", { type: "image/jpeg" })]), "image/jpeg", 0.95);
  closeCamera();
}

async function start() {
  $("files").addEventListener("change", (event) => { takeFiles(event.target.files); event.target.value = ""; });
  $("camera").addEventListener("click", toggleCamera);
  $("camera").hidden = !(navigator.mediaDevices && navigator.mediaDevices.getUserMedia); // browsers give it to https and localhost
  $("shoot").addEventListener("click", shoot);
  $("token-form").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("paste", (event) => takeFiles(event.clipboardData.files));
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.remove("over"); });
  }
  document.addEventListener("drop", (event) => takeFiles(event.dataTransfer.files));
  const about = await (await fetch("healthz")).json();
  explains = about.explains;
  $("explain-row").hidden = !explains;
  $("token-form").hidden = !about.asks_for_token;
  $("network").textContent = `${about.network}, ${about.classes} classes`;
}

start().catch((error) => say(`The server does not answer: ${error.message}`, true));
