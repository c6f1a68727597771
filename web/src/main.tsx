import { createRoot } from "react-dom/client";
import "./styles/tokens.css";
import "./styles/app.css";
import "./styles/panels.css";
import "./styles/pages.css";
import "./styles/market.css";
import { App } from "./app/App.tsx";

const root = document.getElementById("root");
if (root !== null) createRoot(root).render(<App />);
