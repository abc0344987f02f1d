// Starts the application.
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/layout.css";
import "./styles/lists.css";
import "./styles/overlays.css";
import "./styles/talk.css";

import { mount } from "svelte";

import App from "./App.svelte";
import { navigation } from "./lib/navigation.svelte.ts";

const target = document.getElementById("app");
if (target) {
  target.replaceChildren();
  navigation.start();
  mount(App, { target });
}
