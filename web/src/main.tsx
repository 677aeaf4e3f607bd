import "./language.ts"; // first: what follows formats numbers while it is imported
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/overview.css";
import "./styles/targets.css";
import "./styles/lists.css";
import "./styles/forms.css";
import "./styles/narrow.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { begin, startClock } from "./store.ts";

startClock();
void begin();
render(<App />, document.getElementById("page")!);
