; The Windows installer: for one user, without administrator rights. Also builds with Debian's nsis:
; makensis -DPROGRAMS=<folder of kiln.exe> -DVERSION=x.y.z -DLICENSE=<file> -DOUT=<setup.exe> kiln.nsi
Unicode true
Target amd64-unicode
!define APP "Kiln"
!define UNINSTALL "Software\Microsoft\Windows\CurrentVersion\Uninstall\Kiln"
!define RUN "Software\Microsoft\Windows\CurrentVersion\Run"
!define WEBVIEW "Microsoft\EdgeUpdate\Clients\{F3017226-FE2A-4295-8BDF-00C3A9A7E4C5}"
Name "${APP}"
OutFile "${OUT}"
RequestExecutionLevel user
InstallDir "$LOCALAPPDATA\Programs\${APP}"
InstallDirRegKey HKCU "${UNINSTALL}" "InstallLocation"
SetCompressor /SOLID lzma
VIProductVersion "${VERSION}.0"
VIAddVersionKey "ProductName" "${APP}"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "FileDescription" "${APP} setup"
VIAddVersionKey "LegalCopyright" "Kiln contributors, Apache-2.0"
!include "MUI2.nsh"
!include "LogicLib.nsh"
!insertmacro MUI_PAGE_LICENSE "${LICENSE}"
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "German"
; Both are in the folder when the desktop app was built on Windows.
!if /FileExists "${PROGRAMS}\kiln-desktop.exe"
  !define DESKTOP
!endif

Section
  ; A Kiln that runs keeps its own file open; it is told to end, and waits for nothing.
  ${If} ${FileExists} "$INSTDIR\kiln.exe"
    ExecWait '"$INSTDIR\kiln.exe" stop'
  ${EndIf}
  SetOutPath "$INSTDIR"
  File "${PROGRAMS}/kiln.exe"
  File "/oname=LICENSE.txt" "${LICENSE}"
  !ifdef DESKTOP
    File "${PROGRAMS}/kiln-desktop.exe"
    File "${PROGRAMS}/kiln-window.exe"
    File /nonfatal "${PROGRAMS}/WebView2Loader.dll"
    CreateShortcut "$SMPROGRAMS\${APP}.lnk" "$INSTDIR\kiln-desktop.exe"
  !endif
  WriteUninstaller "$INSTDIR\uninstall.exe"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayName" "${APP}"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL}" "Publisher" "Kiln contributors"
  WriteRegStr HKCU "${UNINSTALL}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  !ifdef DESKTOP
    ; WebView2 comes with Windows 11; elsewhere ask rather than download behind the user's back.
    SetRegView 32
    ReadRegStr $0 HKLM "Software\${WEBVIEW}" "pv"
    ReadRegStr $1 HKCU "Software\${WEBVIEW}" "pv"
    SetRegView 64
    ${If} "$0$1" == ""
      IfSilent +3
      MessageBox MB_YESNO "Kiln's window needs Microsoft's WebView2. Open its download page?" IDNO +2
      ExecShell open "https://developer.microsoft.com/microsoft-edge/webview2/"
    ${EndIf}
  !endif
SectionEnd

; What belongs to the user (pairings, history, builds) stays.
Section Uninstall
  ExecWait '"$INSTDIR\kiln.exe" stop'
  Delete "$INSTDIR\kiln.exe"
  Delete "$INSTDIR\kiln-desktop.exe"
  Delete "$INSTDIR\kiln-window.exe"
  Delete "$INSTDIR\WebView2Loader.dll"
  Delete "$INSTDIR\LICENSE.txt"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  Delete "$SMPROGRAMS\${APP}.lnk"
  DeleteRegKey HKCU "${UNINSTALL}"
  DeleteRegValue HKCU "${RUN}" "${APP}"
SectionEnd
